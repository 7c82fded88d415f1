"""MLX's server of language models, mlx_lm.server."""

from llamactl.backends.mlx.backend import MLX

__all__ = ["MLX"]
