"""What a person looks at after a run: tables, plots and one self-contained page."""
