"""What users hold: datums, messages, metadata, windows, times and nack options.

Nothing here knows a stream, a thread or a protocol; it imports only protobuf, and that where it is needed."""
