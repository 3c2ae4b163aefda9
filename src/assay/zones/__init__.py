"""Configuration: YAML and SQL files become frozen, typed values, once, at the door."""
