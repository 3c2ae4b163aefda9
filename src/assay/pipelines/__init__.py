"""Which segment follows which, and what surrounds every movement: permission, gate, record."""
