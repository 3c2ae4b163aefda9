"""Example projects as package data."""
