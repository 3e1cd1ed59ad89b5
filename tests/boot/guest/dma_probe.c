// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI driver for tests: takes one function, does in its probe what it is
 * told, and says what it got.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <asm/hvcall.h>
#include <asm/pci-bridge.h>

static char *device = "";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "Address of the function");

static char *steps = "";
module_param(steps, charp, 0444);
MODULE_PARM_DESC(steps, "With dots: s64, c64, b64 (mask of streams, of coherent memory, of both), alloc, map, master, open (the window), fail");

static bool managed;
module_param(managed, bool, 0444);
MODULE_PARM_DESC(managed, "Claim to manage the IOMMU, as vfio-pci does");

static int set_mask(struct pci_dev *pdev, char which, unsigned int bits)
{
	u64 mask = DMA_BIT_MASK(bits);

	switch (which) {
	case 's':
		return dma_set_mask(&pdev->dev, mask);
	case 'c':
		return dma_set_coherent_mask(&pdev->dev, mask);
	default:
		return dma_set_mask_and_coherent(&pdev->dev, mask);
	}
}

static int step(struct pci_dev *pdev, const char *name)
{
	unsigned long result[PLPAR_HCALL_BUFSIZE];
	struct device *dev = &pdev->dev;
	dma_addr_t address = 0;
	unsigned int bits;
	void *memory;
	char which;
	int error = 0;

	if (!strcmp(name, "alloc")) {
		if (!dmam_alloc_coherent(dev, PAGE_SIZE, &address, GFP_KERNEL))
			error = -ENOMEM;
	} else if (!strcmp(name, "map")) {
		memory = devm_kmalloc(dev, PAGE_SIZE, GFP_KERNEL);
		if (!memory)
			return -ENOMEM;
		address = dma_map_single(dev, memory, PAGE_SIZE, DMA_TO_DEVICE);
		error = dma_mapping_error(dev, address);
		if (!error)
			dma_unmap_single(dev, address, PAGE_SIZE, DMA_TO_DEVICE);
	} else if (!strcmp(name, "master")) {
		pci_set_master(pdev);
	} else if (!strcmp(name, "open")) {
		/* As a kernel that leaves it so for the next one */
		error = plpar_hcall(0xF006, result, pci_bus_to_host(pdev->bus)->buid,
				    pdev->bus->number << 16 | pdev->devfn << 8, 1);
	} else if (!strcmp(name, "fail")) {
		error = -EIO;
	} else if (sscanf(name, "%c%u", &which, &bits) == 2) {
		error = set_mask(pdev, which, bits);
	} else {
		error = -EINVAL;
	}
	pci_info(pdev, "did %s result=%d address=%#llx\n", name, error, address);
	return error;
}

static int dma_probe_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	char *copy = kstrdup(steps, GFP_KERNEL), *rest = copy, *name;
	int error = 0;

	while (!error && (name = strsep(&rest, ".")))
		error = step(pdev, name);
	kfree(copy);
	return error;
}

static void dma_probe_remove(struct pci_dev *pdev)
{
}

static struct pci_driver dma_probe_driver = {
	.name = "dma_probe",
	.probe = dma_probe_probe,
	.remove = dma_probe_remove,
};

static int __init dma_probe_init(void)
{
	unsigned int domain, bus, slot, function;
	struct pci_dev *pdev;
	int error;

	if (sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;
	error = driver_set_override(&pdev->dev, &pdev->driver_override, "dma_probe", 9);
	pci_dev_put(pdev);
	dma_probe_driver.driver_managed_dma = managed;
	return error ?: pci_register_driver(&dma_probe_driver);
}

static void __exit dma_probe_exit(void)
{
	pci_unregister_driver(&dma_probe_driver);
}

module_init(dma_probe_init);
module_exit(dma_probe_exit);

MODULE_DESCRIPTION("Asks for DMA as tests tell it");
MODULE_LICENSE("GPL");
