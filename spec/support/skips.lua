--- The specs that may be pending, by their full titles, and why. A skip that is
--- not here is a failure.
return {}
