"""The stages of a lab: tools, images, nodes, cloud."""
