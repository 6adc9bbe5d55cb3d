"""Past steps as notes: a case, finding those that bear on a step, and lines with a blank."""
