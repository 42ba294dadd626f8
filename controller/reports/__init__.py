"""Reports on turns: drafted from what the tools found, edited, reviewed and signed by people."""
