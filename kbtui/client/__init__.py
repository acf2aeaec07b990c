"""The assembly behind every front end: settings, server discovery, the engine."""
