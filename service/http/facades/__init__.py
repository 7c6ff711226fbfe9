"""Routes that answer exactly as other systems' APIs do, with their envelopes and the shapes of their errors."""
