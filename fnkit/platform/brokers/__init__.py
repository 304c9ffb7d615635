"""Where triggers listen: from the account, project and region of an API object to a broker and its credentials."""
