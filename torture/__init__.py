"""Real commands that are killed, ended and refused by the system at random moments."""
