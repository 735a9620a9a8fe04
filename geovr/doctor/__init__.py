"""What works on this machine: each check tries the thing itself, and says what to do about it."""
