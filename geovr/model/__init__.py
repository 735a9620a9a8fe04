"""Qwen3-VL composed with tokens, taps and heads; never copied."""
