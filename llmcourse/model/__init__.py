"""The transformer: its shape, its parts, its weights on disk. Taught in chapter 04."""
