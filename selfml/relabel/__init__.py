"""A trained run applied to another catalogue: labels, explanations and flips without training."""
