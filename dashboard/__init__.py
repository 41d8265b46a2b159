"""The dashboard of SELF-ML: what is seen, decided and exported in a browser."""

import logging

# The server reads app.py before it is one: Streamlit then says of each cache that there is no
# server to ask where to store. They are kept in memory either way.
logging.getLogger("streamlit.runtime.caching.cache_data_api").addFilter(
    lambda record: not record.getMessage().startswith("No runtime found")
)
