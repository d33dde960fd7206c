"""The contract of providers as tests: subclass `ProviderContract`, and run pytest."""

from cshelve.testing.contract.bulk import BulkContract
from cshelve.testing.contract.concurrency import ConcurrencyContract
from cshelve.testing.contract.conditions import ConditionsContract
from cshelve.testing.contract.inspection import InspectionContract
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
    InspectionContract,
    BulkContract,
    PlacesContract,
    ConcurrencyContract,
):
    """Tests of everything that `cshelve.providers.Provider` promises.

    A subclass creates the providers, and reads and writes the store without them. Each test needs
    an empty place of its own in the store, which fixtures of the subclass create::

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

    Call `pytest.register_assert_rewrite("cshelve.testing.contract")` before the import, so that
    failures show the values that were compared.
    """
