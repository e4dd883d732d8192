"""The servers of the local stack, each as a child process with its data in a folder."""
