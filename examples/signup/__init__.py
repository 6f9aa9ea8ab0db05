"""A sign-up that is answered at once and mails its welcome afterwards.

The application, in the order in which to read it:

=====================  ==========================================================================
``settings.py``        where the mail server is, from the environment
``mailer.py``          a service that asks the container for the request's background tasks
``schemas.py``         what goes in and out over HTTP
``controllers.py``     a controller that gets the mailer by its constructor and knows of no tasks
``routers.py``         a function route that sets ``background`` of its response, as Starlette has it
``app.py``             the modules: background tasks are declared once, at the root
``server.py``          what a server is told to run: ``uvicorn examples.signup.server:application``
``durable.py``         the same with its tasks on a file; only the declaration differs
=====================  ==========================================================================

``python -m examples.signup`` is the demo, in ``demo/``; ``python -m examples.signup.demo.durable`` the one that kills.
"""
