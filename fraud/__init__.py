"""What training, serving and monitoring must agree on. Imports nothing else of ours."""
