"""What the keys room must do: published vectors, other implementations, and secrecy."""
