"""What every provider has to do, as tests: subclass `ProviderContract` and let pytest find it."""

from cshelve.testing.contract.bulk import BulkContract
from cshelve.testing.contract.concurrency import ConcurrencyContract
from cshelve.testing.contract.conditions import ConditionsContract
from cshelve.testing.contract.listings import ListingsContract
from cshelve.testing.contract.odd_names import ODD_NAMES, OddNamesContract
from cshelve.testing.contract.places import PlacesContract
from cshelve.testing.contract.values import ValuesContract

__all__ = ["ODD_NAMES", "OddNamesContract", "ProviderContract"]


class ProviderContract(
    OddNamesContract,
    ValuesContract,
    ConditionsContract,
    ListingsContract,
    BulkContract,
    PlacesContract,
    ConcurrencyContract,
):
    """The promises of `cshelve.providers.base.Provider`, each as a test.

    A subclass says how to make providers, and reads and writes its store by other means than the
    provider's. Each test needs a place of its own, which fixtures of the subclass make::

        class TestOurStore(ProviderContract):
            @pytest.fixture(autouse=True)
            def _folder_of_the_test(self, our_server):
                self.server, self.folder = our_server, f"test-{uuid4()}"
                self.server.make_folder(self.folder)

            def make_provider(self):
                return OurStore(self.server.address, self.folder)

            def absent_provider(self):
                return OurStore(self.server.address, f"{self.folder}-absent")

            def raw_read(self, name):
                return self.server.files(self.folder).get(name)

            def raw_write(self, name, data):
                self.server.files(self.folder)[name] = data

            def raw_names(self):
                return set(self.server.files(self.folder))

    Before the import, `pytest.register_assert_rewrite("cshelve.testing.contract")` makes failures
    show the values that were compared.
    """
