"""The architecture `released-schnet`: what the authors released as DeepDFT's SchNet form."""
