"""Real images that come with installed packages, marked by eye, and pictures that are not medical.

They measure the tools and never train them. Every row belongs to a half: `development` may be looked at while models
are chosen, `final` is opened only for the final table.
"""
