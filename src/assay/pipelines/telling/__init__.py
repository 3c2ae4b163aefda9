"""What the platform tells others of its work: lineage events to a receiver, messages to people.

All of it is made from the events in the catalog, later than they happened: no batch waits for a receiver.
"""
