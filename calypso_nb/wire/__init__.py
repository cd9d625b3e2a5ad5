"""How a call reaches a TinyTask server and comes back."""
