"""Reading lines of text, and telling what texts say."""
