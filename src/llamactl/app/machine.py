"""What a machine has for engines: models, programs, and what the settings say of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from llamactl.backends import KINDS, Kind
from llamactl.config import SettingsHolder
from llamactl.core.ports.node import EngineSettings
from llamactl.models import Catalog, Confinement, ModelReader, ServedModels
from llamactl.node import CommandEngineProbe, EngineBuilds, ModelAccess, Vocabularies


@dataclass(frozen=True, slots=True)
class MachineModels:
    """The files of models here, and which of them may be used."""

    reader: ModelReader
    catalog: Catalog
    confinement: Confinement

    @classmethod
    def of(cls, held: SettingsHolder, environ: Mapping[str, str]) -> MachineModels:
        settings = held.current
        catalog = Catalog(settings.model_cache(environ), settings.models.folders)
        return cls(ModelReader(), catalog, Confinement(lambda: held.current, catalog.resolve))


@dataclass(frozen=True, slots=True)
class MachineEngines:
    """The programs, and what they were found to understand."""

    probes: Mapping[str, CommandEngineProbe]  # by section of the settings
    known: Vocabularies

    @classmethod
    def of(cls, held: SettingsHolder) -> MachineEngines:
        builds = EngineBuilds(held.current.data)
        probes = {
            kind.section: CommandEngineProbe(kind, partial(engine_settings, held, kind), builds)
            for kind in KINDS
        }
        return cls(probes, Vocabularies(probes))

    def access(self, models: MachineModels) -> ModelAccess:
        """For the node."""
        resolve = models.catalog.resolve
        served = ServedModels(models.reader, resolve)
        return ModelAccess(resolve, served, models.confinement.check, self.known.of)


def engine_settings(held: SettingsHolder, kind: Kind) -> EngineSettings:
    """Those in force."""
    return held.current.backends.engine(kind)
