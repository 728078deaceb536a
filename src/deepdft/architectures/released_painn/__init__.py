"""The architecture `released-painn`: what the authors released as DeepDFT's PaiNN form."""
