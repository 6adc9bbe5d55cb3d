"""What makes a prediction one that can be acted on: advice of several, and how far each is to be believed."""
