"""The checks of ``fnkit doctor``: of this machine, of the project, and of the platforms that it is deployed to."""
