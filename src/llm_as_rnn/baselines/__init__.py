"""What the recurrent method is compared with, behind the same `Method` protocol."""
