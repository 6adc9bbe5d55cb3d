"""One stream whose outcomes come when they come: the library's learners, and how they are saved."""
