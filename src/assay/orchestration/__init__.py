"""The service: who watches, who works, what the clock starts. What they do to a batch stands in `pipelines`."""
