"""How much depth, pose and scale a linear map reads out of a frozen model, layer by layer."""
