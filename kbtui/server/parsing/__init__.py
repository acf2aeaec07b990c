"""Reading documents: a child process turns a file into text, chunks and entities."""
