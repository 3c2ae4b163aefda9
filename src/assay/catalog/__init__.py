"""What assay knows about its data: batches, runs, findings, reconciliation, lineage. No data itself."""
