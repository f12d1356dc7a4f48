"""From a change of the model to runtime commands, or to a reload with its reasons. Pure."""
