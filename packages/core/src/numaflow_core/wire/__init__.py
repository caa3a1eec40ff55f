"""Bytes and what they mean, without IO: protobuf parts, gRPC framing, headers and statuses.

Nothing here opens a socket, starts a thread or keeps a connection."""
