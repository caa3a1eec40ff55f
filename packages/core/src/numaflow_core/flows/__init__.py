"""Flows turn the messages of a stream into events: which call each message belongs to, and what
is answered at once.

They do no IO, know no handler, and decode only what the order of messages depends on.
"""
