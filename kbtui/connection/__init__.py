"""The async connection service: one supervised WebSocket, its states, requests and errors."""
