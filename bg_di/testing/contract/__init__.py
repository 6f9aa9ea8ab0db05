"""What every backend promises, as tests that run on it."""

from typing import Any, ClassVar

from bg_di.backends import Backend
from bg_di.testing.contract.capabilities import Capabilities
from bg_di.testing.contract.deliveries import Deliveries
from bg_di.testing.contract.promise import needs_of


class BackendContract(Deliveries, Capabilities):
    """Derive from it in a test module, and pytest collects what your backend has to keep::

        class TestMyBackend(BackendContract):
            backend_type = MyBackend

            @pytest.fixture
            def backend(self, tmp_path):
                return MyBackend(tmp_path)

    The fixture makes a description whose storage is empty and no other test's. It is opened several times in a test,
    as by several processes. What needs a capability that your backend does not claim is not collected.

    Attributes:
        backend_type: whose capabilities count.
        patience: seconds that a test may take.
    """

    backend_type: ClassVar[type[Backend]]
    patience: ClassVar[float] = 30.0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in dir(cls):
            if needs_of(getattr(cls, name)) - cls.backend_type.capabilities:
                setattr(cls, name, None)
