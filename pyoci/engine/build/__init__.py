# SPDX-License-Identifier: Apache-2.0
"""`pypod build`: from a Dockerfile and a context to an image. dockerfile.py reads, stages.py orders, builder.py carries out."""
