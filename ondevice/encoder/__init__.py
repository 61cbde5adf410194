"""Text → vectors: cleaning, masking, tokenizer, ONNX session."""
