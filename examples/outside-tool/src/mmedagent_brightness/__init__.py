"""An example of a tool for mmedagent in a package of its own."""
