"""The movements between two stores. A segment knows its stores, an engine and its configuration, nothing else.

Each has `prepare`: the slow part, which changes nothing that anybody can see, and returns an `Outcome`
whose `commit` makes the result visible inside the runner's one transaction.
"""
