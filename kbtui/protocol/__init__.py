"""The wire protocol: messages, codec and stages, pure and shared by client and server."""
