"""From a sample of the lake to a model version, and its way to become the champion."""
