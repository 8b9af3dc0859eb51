"""What tests share: a client that calls the application in process, content to push, a daemon to start."""
