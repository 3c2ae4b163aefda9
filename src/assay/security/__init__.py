"""Who somebody is, and what they may do: identities, roles, Cedar policies, secrets.

Decisions are pure: `decide` looks at a `World` that was read from the configuration, and at nothing else.
What carries a decision out stands elsewhere; `guard.require` is where the doors ask.
"""
