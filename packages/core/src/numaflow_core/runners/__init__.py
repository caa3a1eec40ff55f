"""Runners run calls: on threads, on an event loop, in worker processes.

They take calls from a stream's ``Rpc`` and give replies back to it. They know neither gRPC nor protobuf nor a kind.
"""
